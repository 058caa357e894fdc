# What people run here; `just` alone lists it.

default:
    @just --list

# everything CI runs
check:
    scripts/test

# tests whose names contain NAME
test NAME:
    scripts/test {{NAME}}

# write the golden files anew; look at the difference before you commit it
bless:
    ZDMIG_BLESS=1 scripts/with-postgres cargo test --test it cases::
    ZDMIG_BLESS=1 scripts/with-postgres cargo test --test it hazards
    ZDMIG_BLESS=1 cargo test --test linters

# the histories of ZDMIG_CORPUS: phases one by one, rollbacks, and over rows; an hour or more
corpus:
    ZDMIG_CORPUS_PHASES=1 ZDMIG_CORPUS_ROWS=1 scripts/with-postgres cargo test --test it corpus -- --nocapture

# every case cut at every call and taken back; half an hour or more
cuts:
    ZDMIG_EVERY_CUT=1 scripts/with-postgres cargo test --test it crash

# every case from every phase, and with two applications, and the long histories; ten minutes more than `check`
every:
    ZDMIG_EVERY=1 scripts/with-postgres cargo test --test it -- case corpus

# twenty thousand random queries, and what the server says of them; three minutes
queries:
    ZDMIG_QUERIES=20000 scripts/with-postgres cargo test --test it usage -- --nocapture

# a thousand random tables and changes
random:
    ZDMIG_RANDOM=1000 scripts/with-postgres cargo test --test it random

# what a change costs, as ratios within one run; the server syncs to disk, as yours does
bench:
    ZDMIG_TEST_POSTGRES_OPTIONS='-c shared_buffers=1GB -c max_wal_size=8GB' scripts/with-postgres cargo bench --bench bench

# what the gate costs: statements resolved, the look inside the lock, the whole of it with 200 instances
bench-gate:
    scripts/with-postgres cargo bench --bench gate

# what a backfill costs, with the page and the plots that show it; half an hour
bench-backfill:
    ZDMIG_TEST_POSTGRES_OPTIONS='-c shared_buffers=1GB' scripts/with-postgres cargo bench --bench backfill

# both deploys of examples/shop with a million users and ten minutes of load and more each, and the control; 40 minutes
drill:
    examples/shop/blue-green --users 1000000 --rate 200 --hold 30 --drain 30 --pace gentle --p99-ratio 2
    examples/shop/rolling --users 1000000 --rate 200 --hold 30 --drain 30 --pace gentle --p99-ratio 2
    ! examples/shop/rolling --naive --users 1000000 --rate 200 --hold 30 --drain 30 >target/naive.txt
    tail -n 20 target/naive.txt && grep -q 'FAILED: .* answers of 5xx' target/naive.txt

# the rename on a live embedded database
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# what would be published, built from its own files
package:
    cargo package --allow-dirty

# licences and advisories of the dependencies
deny:
    cargo deny check
