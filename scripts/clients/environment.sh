# Sourced by run.sh and fuzz.sh: the Python packages, OpenAI's vocabulary and the JavaScript client.
# Everything is from package registries, pinned, and kept in ~/.cache/connote-clients.

CACHE=${CONNOTE_CLIENTS_CACHE:-$HOME/.cache/connote-clients}
VENV=$CACHE/venv
LITELLM=1.110.2   # only for the vocabulary file inside it
OPENAI_JS=7.57.0
VOCABULARY=9b5ad71b2ce5302211f9c61530b329a4922fc6a4 # cl100k_base under the name tiktoken looks for

clients_environment() {
    local here
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    # shellcheck source=scripts/venv.sh
    . "$here/../venv.sh"
    python_venv "$VENV" "$here/requirements.txt"
}

# LangChain counts in OpenAI's vocabulary. Its download host is not a registry; a wheel carries the same
# file, and tiktoken itself compares its SHA-256 before it uses it.
clients_vocabulary() {
    export TIKTOKEN_CACHE_DIR=$CACHE/tiktoken
    [ -s "$TIKTOKEN_CACHE_DIR/$VOCABULARY" ] && return
    local wheel
    wheel=$(mktemp -d)
    "$VENV/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        -d "$wheel" "litellm==$LITELLM"
    mkdir -p "$TIKTOKEN_CACHE_DIR"
    "$VENV/bin/python" - "$wheel"/litellm-*.whl "$VOCABULARY" "$TIKTOKEN_CACHE_DIR" <<'PYTHON'
import sys, zipfile, os
wheel, name, folder = sys.argv[1:]
data = zipfile.ZipFile(wheel).read("litellm/litellm_core_utils/tokenizers/" + name)
with open(os.path.join(folder, name + ".part"), "wb") as out:
    out.write(data)
os.replace(out.name, os.path.join(folder, name))
PYTHON
    rm -rf "$wheel"
}

# An extra: where node or npm is missing, or the package cannot be had, its test is left out with a word.
clients_node() {
    export CONNOTE_NODE_MODULES=$CACHE/node/node_modules
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        echo "run.sh: no node and npm here; the JavaScript client is left out" >&2
        return
    fi
    [ "$(cat "$CACHE/node/.version" 2>/dev/null)" = "$OPENAI_JS" ] && return
    mkdir -p "$CACHE/node"
    echo '{"private": true, "type": "module"}' >"$CACHE/node/package.json"
    if (cd "$CACHE/node" && npm install --silent --no-audit --no-fund --ignore-scripts "openai@$OPENAI_JS" >/dev/null); then
        echo "$OPENAI_JS" >"$CACHE/node/.version"
    else
        rm -rf "$CONNOTE_NODE_MODULES"
        echo "run.sh: npm could not install openai; the JavaScript client is left out" >&2
    fi
}
