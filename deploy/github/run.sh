#!/usr/bin/env bash
# Runs a verb for the action: reports first, then the outputs, the step summary and the comment, and
# only then whether the job fails. Needs zdmig, and curl and jq for the comment.
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
# Where this project lies in its repository.
prefix="$(git rev-parse --show-prefix 2>/dev/null || true)"

finish() {
    {
        echo "exit-code=$code"
        echo "reports=$reports"
    } >>"${GITHUB_OUTPUT:-/dev/null}"
}

# Writes a comment on the pull request, or writes over the one that begins with the same mark: one for
# each verb, project and folder.
comment() {
    local text="$1" number api marker page id body found
    [ "${INPUT_COMMENT:-true}" = true ] || return 0
    [ -n "${GITHUB_EVENT_PATH:-}" ] && [ -n "${INPUT_TOKEN:-}" ] || return 0
    number="$(jq -r '.pull_request.number // empty' "$GITHUB_EVENT_PATH")"
    [ -n "$number" ] || return 0
    api="${GITHUB_API_URL:-https://api.github.com}/repos/$GITHUB_REPOSITORY/issues"
    marker="<!-- zdmig:$verb:$prefix${INPUT_MIGRATIONS:-migrations} -->"
    # A comment may have 65,536 letters.
    body="$(jq -Rs --arg marker "$marker" '{body: ($marker + "\n" + .[:60000]
        + if length > 60000 then "\n\nCut here: the step summary and the reports have all of it.\n" else "" end)}' "$text")"
    id=''
    for page in 1 2 3 4 5 6 7 8 9 10; do
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
        ${with[@]+"${with[@]}"} "$url" <<<"$body"
}

# Where zdmig could not even begin there is no report, and the last one is not to be taken for it.
or_say_so() {
    if ! [ -s "$1" ]; then
        echo "\`zdmig $verb\` could not run and ended with $code: the job's log says why." >"$1"
    fi
}

code=0
case "$verb" in
check)
    [ -z "$prefix" ] || command+=(--path-prefix "$prefix")
    zdmig "${command[@]}" --format sarif >"$reports/zdmig.sarif" || true
    zdmig "${command[@]}" --format markdown >"$reports/check.md" 2>/dev/null || true
    # These are shown beside the lines.
    zdmig "${command[@]}" --format github || code=$?
    report="$reports/check.md"
    ;;
plan)
    zdmig "${command[@]}" --format html >"$reports/plan.html" 2>/dev/null || true
    zdmig "${command[@]}" --format markdown >"$reports/plan.md" || code=$?
    cat "$reports/plan.md"
    report="$reports/plan.md"
    ;;
*)
    zdmig "${command[@]}" >"$reports/answer.txt" || code=$?
    finish
    cat "$reports/answer.txt"
    # A fence that is longer than any in the answer.
    { echo "### zdmig $verb"; echo '````````text'; cat "$reports/answer.txt"; echo '````````'; } >>"$summary"
    exit "$code"
    ;;
esac

finish
or_say_so "$report"
cat "$report" >>"$summary"
comment "$report"
exit "$code"
