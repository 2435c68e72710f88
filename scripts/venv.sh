# Sourced by scripts that need Python packages.

# A virtual environment with the packages of a file, made once for what is in it:  python_venv FOLDER REQUIREMENTS
python_venv() {
    local want
    want=$(sha256sum <"$2")
    [ "$(cat "$1/.made-from" 2>/dev/null)" = "$want" ] && return
    rm -rf "$1"
    mkdir -p "$(dirname "$1")"
    python3 -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
    echo "$want" >"$1/.made-from"
}
