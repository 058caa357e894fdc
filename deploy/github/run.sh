#!/usr/bin/env bash
# Runs a verb for the action: reports first, then the step summary and the comment, and only then
# whether the job fails. Needs zdmig, and curl and jq for the comment.
set -euo pipefail

read -r -a command <<<"${INPUT_COMMAND:-check}"
verb="${command[0]}"
for setting in DATABASE_URL MIGRATIONS CONFIG ENV; do
    input="INPUT_$setting"
    if [ -n "${!input:-}" ]; then
        export "ZDMIG_$setting=${!input}"
    fi
done

reports="$(mktemp -d "${RUNNER_TEMP:-/tmp}/zdmig.XXXXXX")"
summary="${GITHUB_STEP_SUMMARY:-/dev/null}"
# What fits into a comment, and leaves room for a word that it was cut.
comment_max=65000

# Writes a comment on the pull request, or writes over the one that begins with the same mark.
comment() {
    local text="$1" number api marker page id body
    [ "${INPUT_COMMENT:-true}" = true ] || return 0
    [ -n "${GITHUB_EVENT_PATH:-}" ] && [ -n "${INPUT_TOKEN:-}" ] || return 0
    number="$(jq -r '.pull_request.number // empty' "$GITHUB_EVENT_PATH")"
    [ -n "$number" ] || return 0
    api="${GITHUB_API_URL:-https://api.github.com}/repos/$GITHUB_REPOSITORY/issues"
    marker="$(head -n 1 "$text")"
    body="$(head -c "$comment_max" "$text" | iconv -c -t UTF-8 | jq -Rs '{body: .}')"
    if [ "$(wc -c <"$text")" -gt "$comment_max" ]; then
        body="$(jq '.body += "\n\nCut here: the step summary and the reports have all of it.\n"' <<<"$body")"
    fi
    id=''
    for page in 1 2 3 4 5 6 7 8 9 10; do
        local found
        if ! found="$(request GET "$api/$number/comments?per_page=100&page=$page")"; then
            echo '::notice title=zdmig::The comments cannot be read, as in a pull request from a fork: the step summary has the report'
            return 0
        fi
        id="$(jq -r --arg marker "$marker" \
            'map(select(.body | startswith($marker))) | first | .id // empty' <<<"$found")"
        if [ -n "$id" ] || [ "$(jq length <<<"$found")" -lt 100 ]; then break; fi
    done
    if [ -n "$id" ]; then
        request PATCH "$api/comments/$id" "$body" >/dev/null
    else
        request POST "$api/$number/comments" "$body" >/dev/null
    fi || echo '::notice title=zdmig::The comment cannot be written, as in a pull request from a fork: the step summary has the report'
}

# The token goes in by a file, so that no list of processes shows it.
request() {
    local method="$1" url="$2" body="${3:-}" with=()
    if [ -n "$body" ]; then with=(--data-binary "@-"); fi
    curl --silent --show-error --fail --max-time 30 --retry 2 --request "$method" \
        --config <(printf 'header = "Authorization: Bearer %s"\n' "$INPUT_TOKEN") \
        --header 'Accept: application/vnd.github+json' --header 'Content-Type: application/json' \
        "${with[@]}" "$url" <<<"$body"
}

code=0
case "$verb" in
check)
    zdmig "${command[@]}" --format sarif >"$reports/zdmig.sarif" || true
    zdmig "${command[@]}" --format markdown >"$reports/check.md" || true
    cat "$reports/check.md" >>"$summary"
    # These are shown beside the lines.
    zdmig "${command[@]}" --format github || code=$?
    comment "$reports/check.md"
    ;;
plan)
    zdmig "${command[@]}" --format html >"$reports/plan.html" || true
    zdmig "${command[@]}" --format markdown >"$reports/plan.md" || code=$?
    cat "$reports/plan.md" >>"$summary"
    cat "$reports/plan.md"
    comment "$reports/plan.md"
    ;;
*)
    zdmig "${command[@]}" >"$reports/answer.txt" || code=$?
    cat "$reports/answer.txt"
    # A fence that is longer than any in the answer.
    { echo "### zdmig $verb"; echo '````````text'; cat "$reports/answer.txt"; echo '````````'; } >>"$summary"
    ;;
esac

{
    echo "exit-code=$code"
    echo "reports=$reports"
} >>"${GITHUB_OUTPUT:-/dev/null}"
exit "$code"
