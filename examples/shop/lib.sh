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
  --p99-ratio X  fail where a phase's p99 is more than so many times that from before; 0 only shows it [2]
  --naive        rename the column at once instead, as is often done: this must fail
  --keep DIR     keep what was measured there

Needs PostgreSQL, nginx, wrk, curl and a Rust toolchain; installs the first three with apt where it may.
SHOP_BIN: a folder with zdmig and examples/ that are built already.
TEXT
}

users=20000 rate=100 hold=3 drain=1 pace=default ratio=2 naive='' keep='' arguments=("$@")
while [ $# -gt 0 ]; do
    case "$1" in
        --users) users="$2"; shift 2 ;;
        --rate) rate="$2"; shift 2 ;;
        --hold) hold="$2"; shift 2 ;;
        --drain) drain="$2"; shift 2 ;;
        --pace) pace="$2"; shift 2 ;;
        --p99-ratio) ratio="$2"; shift 2 ;;
        --naive) naive=1; shift ;;
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

for tool in nginx wrk curl; do
    if ! command -v "$tool" >/dev/null && ! [ -x "/usr/sbin/$tool" ]; then
        if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
            echo "there is no $tool here: install it with your package manager" >&2
            exit 1
        fi
        echo "== no $tool found: installing it with the package manager"
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$tool"; } >/dev/null
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
    for one in "${process[@]}" $wrk_process $client_process $filler; do
        kill -KILL "$one" && wait "$one"
    done 2>/dev/null
    [ -f "$run/nginx.pid" ] && kill -QUIT "$(cat "$run/nginx.pid")" 2>/dev/null
    psql -q "$server/postgres" -c "DROP DATABASE IF EXISTS $database WITH (FORCE)" -c "DROP ROLE IF EXISTS $role" 2>/dev/null
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

sql() { psql -qAtX -v ON_ERROR_STOP=1 "$owner_url" -c "$1"; }

# A port that nobody listens on, by trying.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
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
        curl -s -o /dev/null "127.0.0.1:$3/version" && break
        sleep 0.1
    done
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
    kill -TERM "${process[$1]}"
    wait "${process[$1]}" || { echo "$1 ended badly" >&2; return 1; }
    unset "process[$1]"
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

# How many workers nginx has started so far.
workers() { grep -c 'start worker process ' "$run/nginx.log"; }

# New requests go where `active.conf` says now; those that are under way are finished where they are.
reload_nginx() {
    local before
    before="$(workers)"
    kill -HUP "$(cat "$run/nginx.pid")"
    # Until those of the new configuration are there, and the old ones take nothing any more.
    for _ in $(seq 100); do
        [ "$(workers)" -gt "$before" ] && break
        sleep 0.05
    done
    sleep "$drain"
}

# ---- the load

start_load() {
    touch "$run/ways-back.tsv"
    "$client" load --url "$web" --rate "$rate" --users "$users" --out "$run" 2>"$run/client.err" &
    client_process=$!
    # Eight connections of which each asks again after so long: a rate that does not depend on the answers.
    SHOP_USERS="$users" SHOP_PAUSE=$((8000 / rate)) \
        wrk -t 2 -c 8 -d 2h -s "$shop/load.lua" "$web" >"$run/wrk.txt" 2>"$run/wrk.err" &
    wrk_process=$!
    sleep 1
}

end_load() {
    kill -INT "$wrk_process" && wait "$wrk_process" || true
    kill -INT "$client_process" && wait "$client_process"
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

filled() { sql 'SELECT round(100.0 * count(email) / count(*)) FROM users'; }

forward() {
    zd expand
    zd backfill --pace "$pace"
}

back_to_the_schema() { zd rollback rename_username; }

# One old process is still finishing a long request when contract is asked for.
a_worker_drains() {
    local name="$1" port="$2" answer
    curl -s -o "$run/report" -w '%{http_code}' "127.0.0.1:$port/report?seconds=5" >"$run/report.code" &
    answer=$!
    sleep 0.5
    kill -TERM "${process[$name]}"
    local code=0
    zd contract || code=$?
    [ "$code" -eq 11 ] || { echo "contract ended with $code while $name drains, not with 11" >&2; return 1; }
    grep -q "$name" "$run/zdmig.out" || { echo "the gate does not name $name" >&2; return 1; }
    say "refused: $name still drains, and is named"
    wait "$answer"
    [ "$(cat "$run/report.code")" = 200 ] || { echo "the request under way was cut off" >&2; return 1; }
    wait "${process[$name]}"
    unset "process[$name]"
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
    zdmig backfill --pace "$pace" >"$run/zdmig.out" 2>"$run/zdmig.err" &
    filler=$!
    sleep "$(awk "BEGIN { print 0.3 + $users / 400000 }")"
    { kill -KILL "$filler" && wait "$filler"; } 2>/dev/null || true
    part="$(filled)"
    say "killed when $part % were filled"
    timed "$part % filled" back_to_the_schema
    zd expand
    sleep "$hold"
    phase 'backfill'
    zd backfill --pace "$pace"
    [ "$(filled)" = 100 ]
    sleep "$hold"

    zd can-deploy --service shop --version 2
    if declare -F back_from_half_switched >/dev/null; then
        phase 'back from half switched, and again'
        back_from_half_switched
    fi
    phase 'switch'
    start_new
    traffic_to_new
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
    start_load
    phase 'warming up'
    sleep "$hold"
    phase 'before'
    sleep "$hold"
    sleep "$hold"
    if [ -n "$naive" ]; then naive_story; else story; fi
    phase 'after'
    sleep "$hold"
    end_load
    step='the report'
    sql 'COPY (SELECT id, email FROM users) TO STDOUT' >"$run/found.tsv"
    printf '\n'
    "$client" report --users "$users" --out "$run" --p99-ratio "$ratio" --restore-ms "${SHOP_RESTORE_MS:-1000}"
    step=''
}
