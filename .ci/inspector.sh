#!/usr/bin/env bash
# The official inspector's command line against the `conformance` example: every list, a resource, a prompt
# and a tool, over Streamable HTTP in both eras and over HTTP+SSE. Each must end with status 0 and print one
# JSON object with a `result` that holds what was asked for; of tools/list, no schema may be unportable.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need_conformance
need_node22
need_npm inspector @modelcontextprotocol/inspector@2.12.0
PATH=$(dirname "$NODE"):$PATH
inspector=$NPM/node_modules/.bin/mcp-inspector
# It keeps a catalog in the home folder; here it finds none and leaves none behind.
export HOME=$CI_TMP
start_server "$CONFORMANCE"

# ask MEMBER WAY ERA PATH OPTION...: MEMBER is a non-empty list in the result.
ask() {
    local member=$1 way=$2 era=$3 path=$4; shift 4
    local out=$CI_TMP/result err=$CI_TMP/error
    timeout 60 "$inspector" --cli "http://127.0.0.1:$PORT$path" --transport "$way" --protocol-era "$era" \
        --format json -q --method "$@" >"$out" 2>"$err" </dev/null \
        || { cat "$out" "$err" >&2; die "$way $era $*"; }
    [ ! -s "$err" ] || { cat "$err" >&2; die "$way $era $*: words on stderr"; }
    python3 -c '
import json, sys
result = json.load(sys.stdin)["result"]
assert result[sys.argv[1]], f"no {sys.argv[1]} in {result}"
assert not result.get("isError"), result' "$member" <"$out" || die "$way $era $*"
}

for way in "http legacy /mcp" "http modern /mcp" "sse legacy /sse"; do
    # shellcheck disable=SC2086
    {
        ask tools $way tools/list --strict
        ask resources $way resources/list
        ask resourceTemplates $way resources/templates/list
        ask prompts $way prompts/list
        ask contents $way resources/read --uri test://static-text
        ask contents $way resources/read --uri test://template/123/data
        ask messages $way prompts/get --prompt-name test_simple_prompt
        ask messages $way prompts/get --prompt-name test_prompt_with_arguments --prompt-args arg1=one arg2=two
        ask content $way tools/call --tool-name test_simple_text
        ask content $way tools/call --tool-name test_tool_with_progress
    }
    echo "ok: inspector, $way: 10 commands"
done
stop_server
