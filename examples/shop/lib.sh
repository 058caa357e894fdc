# What both drills have in common; sourced by `blue-green` and `rolling`, which say how an old and a new
# version are started, and how traffic goes from one to the other.
# shellcheck shell=bash

set -euo pipefail
shop="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$shop/../.." && pwd)"

usage() {
    cat <<TEXT
$(basename "$0"): a deploy under load, from expand to purge, with a way back from every state.

  --users N      rows of the table [20000]
  --rate N       requests a second, of the checker and of wrk each [100]
  --hold SECONDS how long each phase is looked at [3]
  --drain SECONDS how long requests that are under way may take when traffic is switched [1]
  --pace NAME    what a backfill may cost: gentle, default or fast [default]
  --p99-ratio X  fail where a phase's p99 is more than so many times that at rest, or a request takes a second;
                 0 only shows times, which is what small runs are good for [0]
  --naive        rename the column at once instead, as is often done: this must fail
  --sabotage     take the triggers away that keep both columns in step: this must fail too
  --keep DIR     keep what was measured there

Needs PostgreSQL with psql, nginx, wrk, curl and a Rust toolchain; as root it installs what is missing with apt.
ZDMIG_TEST_POSTGRES_URL: a server to make a database and a role on, instead of one that is booted for it.
SHOP_BIN: a folder with zdmig and examples/ that are built already.
TEXT
}

users=20000 rate=100 hold=3 drain=1 pace=default ratio=0 naive='' sabotage='' keep='' arguments=("$@")
while [ $# -gt 0 ]; do
    case "$1" in
        --users) users="$2"; shift 2 ;;
        --rate) rate="$2"; shift 2 ;;
        --hold) hold="$2"; shift 2 ;;
        --drain) drain="$2"; shift 2 ;;
        --pace) pace="$2"; shift 2 ;;
        --p99-ratio) ratio="$2"; shift 2 ;;
        --naive) naive=1; shift ;;
        --sabotage) sabotage=1; shift ;;
        --keep) keep="$2"; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) echo "$(basename "$0") does not know \`$1\`" >&2; usage >&2; exit 2 ;;
    esac
done

# A server of its own, where none is given.
if [ -z "${ZDMIG_TEST_POSTGRES_URL:-}" ]; then
    # Long figures want a server that syncs to disk, as yours does.
    export ZDMIG_TEST_POSTGRES_OPTIONS="${ZDMIG_TEST_POSTGRES_OPTIONS:--c shared_buffers=512MB}"
    exec "$root/scripts/with-postgres" "$0" "${arguments[@]}"
fi

for tool in nginx wrk curl psql; do
    if ! command -v "$tool" >/dev/null && ! [ -x "/usr/sbin/$tool" ]; then
        if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
            echo "there is no $tool here: install it with your package manager" >&2
            exit 1
        fi
        echo "== no $tool found: installing it with the package manager"
        package="$tool"
        [ "$tool" = psql ] && package='postgresql-client'
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$package"; } >/dev/null
    fi
done
PATH="$PATH:/usr/sbin"

bin="${SHOP_BIN:-}"
if [ -z "$bin" ]; then
    echo '== building'
    (cd "$root" && cargo build --quiet --release --bin zdmig --example shop-v1 --example shop-v2 --example shop-client)
    bin="${CARGO_TARGET_DIR:-$root/target}/release"
fi
client="$bin/examples/shop-client"

# ---- where everything lies, and how it ends

run="$(mktemp -d "${TMPDIR:-/tmp}/shop.XXXXXX")"
# Where drills that run at the same time say which ports are theirs.
ports="${TMPDIR:-/tmp}/shop-ports"
mkdir -p "$ports"
database="shop_$$"
role="shop_app_$$"
server="${ZDMIG_TEST_POSTGRES_URL%/*}"
address="${server##*@}"
owner_url="$server/$database"
app_url="postgres://$role:shop@$address/$database"

step='the beginning'
declare -A process
wrk_process='' client_process='' filler=''

finish() {
    local code=$?
    set +e
    trap '' INT TERM
    for one in "${process[@]}" $wrk_process $client_process $filler; do
        kill -KILL "$one" && wait "$one"
    done 2>/dev/null
    [ -f "$run/nginx.pid" ] && kill -QUIT "$(cat "$run/nginx.pid")" 2>/dev/null
    psql -qX "$server/postgres" \
        -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$database'" \
        -c "DROP DATABASE IF EXISTS $database" -c "DROP ROLE IF EXISTS $role" >/dev/null
    while read -r one; do rmdir "$ports/$one"; done <"$run/ports" 2>/dev/null
    if [ "$code" -ne 0 ] && [ -n "$step" ]; then
        echo "== ended with $code at: $step" >&2
        grep -h '^failed' "$run"/*.err | sort | uniq -c | sort -rn | head -n 5 >&2
    fi
    if [ -n "$keep" ]; then
        mkdir -p "$keep" && cp -r "$run"/. "$keep"/ && echo "== what was measured is in $keep"
    fi
    rm -rf "$run"
}
trap finish EXIT
trap 'exit 130' INT TERM

# On one core, as it is none of what is measured.
sql() { PGOPTIONS='-c max_parallel_workers_per_gather=0' psql -qAtX -v ON_ERROR_STOP=1 "$owner_url" -c "$1"; }

# A port that nobody listens on, by trying, and that no other drill will take.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        if mkdir "$ports/$port" 2>/dev/null && ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port" >>"$run/ports"
            echo "$port"
            return
        fi
    done
}

# ---- what is told

say() { printf '   %s\n' "$*"; }

# A new phase: everything that is measured from now on belongs to it.
phase() {
    step="$1"
    printf '%s\t%s\n' "$(date +%s%3N)" "$1" >>"$run/phases.tsv"
    printf '\n== %s\n' "$1"
}

zdmig() {
    cd "$root"
    exec "$bin/zdmig" --database-url "$owner_url" --config "$run/zdmig.toml" "$@"
}

# zdmig, with its command line shown, and what it says where it does not end well.
zd() {
    printf '   $ zdmig %s\n' "$*"
    (zdmig "$@") >"$run/zdmig.out" 2>"$run/zdmig.err" && return
    local code=$?
    sed 's/^/     /' "$run/zdmig.out" "$run/zdmig.err"
    return "$code"
}

# A way back from a state, with the time that it took: `timed STATE FUNCTION`.
timed() {
    local begun took
    begun="$(date +%s%3N)"
    "$2"
    took=$(($(date +%s%3N) - begun))
    printf '%s\t%s\n' "$1" "$took" >>"$run/ways-back.tsv"
    say "took $took ms"
}

# ---- the shop

# start NAME VERSION PORT: a process of a version, ready to serve.
start() {
    SHOP_DATABASE_URL="$app_url" SHOP_LISTEN="127.0.0.1:$3" SHOP_INSTANCE="$1" \
        "$bin/examples/shop-v$2" 2>>"$run/$1.err" &
    process["$1"]=$!
    for _ in $(seq 100); do
        # Its own answer, and not that of somebody else who has the port.
        curl -s "127.0.0.1:$3/version" | grep -q "\"$1\"" && return
        sleep 0.1
    done
    echo "$1 does not start" >&2
    return 1
}

# health PORT: the code that an instance answers.
health() { curl -s -o /dev/null -w '%{http_code}' "127.0.0.1:$1/health" || true; }

# Where a version that is not well would be given traffic, the drill ends.
must_be_well() {
    local code
    for _ in $(seq 30); do
        code="$(health "$2")"
        [ "$code" = 200 ] && return
        sleep 0.1
    done
    echo "$1 is not well: /health answers $code" >&2
    return 1
}

# stop NAME: finishes its open requests and ends.
stop() {
    local pid="${process[$1]}"
    kill -TERM "$pid"
    ended "$1" "$pid"
}

# ended NAME PID: waits until it has, and for no longer than a minute.
ended() {
    for _ in $(seq 600); do
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1
    done
    unset "process[$1]"
    kill -0 "$2" 2>/dev/null && { echo "$1 does not end" >&2; return 1; }
    wait "$2" || { echo "$1 ended badly" >&2; return 1; }
}

# ---- nginx

# servers FILE PORT ...: an upstream file.
servers() {
    local file="$run/$1" port
    shift
    {
        echo 'upstream shop {'
        for port in "$@"; do echo "    server 127.0.0.1:$port max_fails=0;"; done
        echo '}'
    } >"$file"
}

start_nginx() {
    web_port="$(free_port)"
    web="http://127.0.0.1:$web_port"
    sed -e "s/@PORT@/$web_port/" "$shop/nginx.conf" >"$run/nginx.conf"
    nginx -p "$run/" -c nginx.conf 2>"$run/nginx.err"
}

# How many workers of nginx have ended so far.
gone() { grep -c 'worker process [0-9]* exited with code' "$run/nginx.log" || true; }

# New requests go where `active.conf` says now; those that are under way are finished where they are.
reload_nginx() {
    local before
    before="$(gone)"
    kill -HUP "$(cat "$run/nginx.pid")"
    sleep "$drain"
    # Until both old workers have finished what they had.
    for _ in $(seq 600); do
        [ "$(gone)" -ge $((before + 2)) ] && return
        sleep 0.1
    done
    echo 'nginx does not end its old workers' >&2
    return 1
}

# across FUNCTION: a long request is under way through nginx while traffic is switched, and is answered.
across() {
    local answer
    curl -s -o /dev/null -w '%{http_code}' "$web/report?seconds=2" >"$run/across.code" &
    answer=$!
    report_runs
    "$1"
    wait "$answer"
    [ "$(cat "$run/across.code")" = 200 ] || { echo 'the request under way was cut off' >&2; return 1; }
}

# Until a report is at work in the database.
report_runs() {
    for _ in $(seq 100); do
        [ "$(sql "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(\$1)%'")" -gt 0 ] && return
        sleep 0.05
    done
    echo 'the report does not begin' >&2
    return 1
}

# ---- the load

start_load() {
    touch "$run/ways-back.tsv"
    "$client" load --url "$web" --rate "$rate" --users "$users" --out "$run" 2>"$run/client.err" &
    client_process=$!
    # Eight connections of which each asks again after so long: a rate that does not depend on the answers.
    SHOP_USERS="$users" SHOP_PAUSE=$((8000 / rate)) \
        wrk -t 2 -c 8 -d 5h --timeout 30s -s "$shop/load.lua" "$web" >"$run/wrk.txt" 2>"$run/wrk.err" &
    wrk_process=$!
}

end_load() {
    local one
    for one in "$wrk_process" "$client_process"; do
        kill -INT "$one" || { echo 'the load has ended by itself' >&2; return 1; }
        wait "$one"
    done
    wrk_process='' client_process=''
}

# ---- the story, from here on the same for every kind of deploy

prepare() {
    psql -qX -v ON_ERROR_STOP=1 "$server/postgres" -c "CREATE DATABASE $database" \
        -c "CREATE ROLE $role LOGIN PASSWORD 'shop'"
    psql -qX -v ON_ERROR_STOP=1 "$owner_url" -v users="$users" -v role="$role" -f "$shop/schema.sql"
    cat >"$run/zdmig.toml" <<TOML
# An instance that is killed is missed after two seconds, and may be at work for one more.
heartbeat_ttl = "2s"
drain = "1s"

[[consumer]]
name = "shop"
roles = ["$role"]
$(consumer)

[[waive]]
role = "$(sql 'SELECT current_user')"
reason = "runs zdmig"
TOML
    publish 1
}

# What a version uses, read out of its source, once the schema has what it names.
publish() { zd usage publish --from "scan=examples/shop/v$1" --service shop --version "$1" --complete; }

# Some twenty thousand of the rows, and no fewer than one of a hundred: to look at each would be a load of its own.
some_rows() {
    local share=$((2000000 / users))
    echo "users TABLESAMPLE SYSTEM ($((share > 100 ? 100 : share < 1 ? 1 : share)))"
}

# How many of a hundred rows are filled.
filled() { sql "SELECT 100 * count(email) / greatest(count(*), 1) FROM $(some_rows)"; }

# fill_runs SHARE: until the fill is at work on top of the share that was there before, because rows that are written
# meanwhile count as filled; looked at from within the server, as a program for each look would be a load, too.
fill_runs() {
    sql "DO \$\$ BEGIN
            FOR look IN 1 .. 400 LOOP
                IF (SELECT 100 * count(email) >= ($1 + 2) * count(*) FROM $(some_rows)) THEN RETURN; END IF;
                PERFORM pg_sleep(0.05);
            END LOOP;
            RAISE 'the fill does not begin';
         END \$\$"
}

forward() {
    zd expand
    zd backfill --pace "$pace"
}

back_to_the_schema() { zd rollback rename_username; }

# One old process is still finishing a long request when contract is asked for.
a_worker_drains() {
    local name="$1" port="$2" answer code=0 pid="${process[$1]}"
    curl -s -o "$run/report" -w '%{http_code}' "127.0.0.1:$port/report?seconds=10" >"$run/report.code" &
    answer=$!
    report_runs
    kill -TERM "$pid"
    zd contract || code=$?
    [ "$code" -eq 11 ] || { echo "contract ended with $code while $name drains, not with 11" >&2; return 1; }
    grep -q "E_VERSION_USES.*$name" "$run/zdmig.out" || { echo "the gate does not name $name" >&2; return 1; }
    say "refused: $name still drains, and is named"
    wait "$answer"
    [ "$(cat "$run/report.code")" = 200 ] || { echo "the request under way was cut off" >&2; return 1; }
    ended "$name" "$pid"
    zd gate rename_username
    say 'passes now that it is gone'
}

naive_story() {
    phase 'ALTER TABLE users RENAME COLUMN, at once'
    say "\$ psql -c 'ALTER TABLE users RENAME COLUMN username TO email'"
    sql 'ALTER TABLE users RENAME COLUMN username TO email'
    sleep "$hold"
    phase 'the new version is deployed'
    start_new
    traffic_to_new
    stop_old
    sleep "$hold"
}

# Both columns no longer follow each other: what one version writes, the other does not read.
sabotaged_story() {
    phase 'expand and backfill'
    forward
    publish 2
    phase 'the triggers are gone, and the new version is deployed'
    # In one transaction: no statement is to fail.
    sql "ALTER TABLE users ALTER username SET DEFAULT 'nobody', ALTER email DROP NOT NULL, ALTER email SET DEFAULT 'nobody';
         DO \$\$ DECLARE one record; BEGIN
            FOR one IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'users'::regclass AND NOT tgisinternal LOOP
                EXECUTE format('DROP TRIGGER %I ON users', one.tgname);
            END LOOP;
            FOR one IN SELECT conname FROM pg_constraint WHERE conrelid = 'users'::regclass AND contype = 'c' LOOP
                EXECUTE format('ALTER TABLE users DROP CONSTRAINT %I', one.conname);
            END LOOP;
         END \$\$"
    start_new
    traffic_to_new
    sleep "$hold"
    stop_old
}

story() {
    phase 'expand'
    zd expand
    publish 2
    sleep "$hold"
    phase 'back from expanded, and again'
    timed 'expanded' back_to_the_schema
    zd expand
    sleep "$hold"

    phase 'backfill, killed, back, and again'
    before="$(filled)"
    zdmig backfill --pace gentle >"$run/zdmig.out" 2>"$run/zdmig.err" &
    filler=$!
    fill_runs "$before"
    { kill -KILL "$filler" && wait "$filler"; } 2>/dev/null || true
    filler=''
    part="$(filled)"
    say "killed when $part % were filled"
    [ "$part" -gt "$before" ] && [ "$part" -lt 100 ] || { echo 'the fill was not killed amid its work' >&2; return 1; }
    timed "$part % filled" back_to_the_schema
    zd expand
    sleep "$hold"
    phase 'backfill'
    zd backfill --pace "$pace"
    [ "$(sql 'SELECT count(*) FROM users WHERE email IS NULL')" = 0 ]
    sleep "$hold"
    phase 'back from filled, and again'
    timed 'filled' back_to_the_schema
    forward
    sleep "$hold"

    zd can-deploy --service shop --version 2
    if declare -F back_from_half_switched >/dev/null; then
        phase 'back from half switched, and again'
        back_from_half_switched
    fi
    phase 'switch'
    start_new
    across traffic_to_new
    sleep "$hold"
    phase 'back from switched, and again'
    back_from_switched() {
        traffic_to_old
        stop_new
        back_to_the_schema
    }
    timed 'switched' back_from_switched
    forward
    start_new
    traffic_to_new

    phase 'the gate'
    stop_old_but_one
    a_worker_drains "$last_name" "$last_port"
    sleep "$hold"

    phase 'contract'
    zd contract
    sleep "$hold"
    phase 'restore'
    give_back() { zd restore rename_username; }
    timed 'contracted: the column is back' give_back
    sleep "$hold"
    phase 'back from contracted, and again'
    zd contract
    back_from_contracted() {
        zd restore rename_username
        start_old
        traffic_to_old
        stop_new
        back_to_the_schema
    }
    timed 'contracted: all the way' back_from_contracted
    forward
    start_new
    traffic_to_new
    stop_old
    sleep "$hold"

    phase 'purge'
    zd contract
    zd purge --soak 0s rename_username
    sleep "$hold"
}

drill() {
    prepare
    start_nginx_and_old
    # The new version before its time: it says by itself that it must not have traffic.
    start too-early 2 "$(free_port)"
    early="$(grep -o '127.0.0.1:[0-9]*' "$run/too-early.err" | tail -n 1)"
    [ "$(health "${early##*:}")" = 503 ] || { echo 'the new version says that it is well before expand' >&2; return 1; }
    stop too-early
    phase 'warming up'
    start_load
    sleep 1
    sleep "$hold"
    phase 'before'
    sleep "$hold"
    sleep "$hold"
    if [ -n "$naive" ]; then naive_story; elif [ -n "$sabotage" ]; then sabotaged_story; else story; fi
    phase 'after'
    sleep "$hold"
    end_load
    step='the report'
    sql 'COPY (SELECT id, email FROM users) TO STDOUT' >"$run/found.tsv"
    printf '\n'
    "$client" report --users "$users" --out "$run" --p99-ratio "$ratio" --restore-ms "${SHOP_RESTORE_MS:-1000}"
    step=''
}
