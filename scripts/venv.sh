# Sourced by scripts that need Python packages.

UV=0.13.9

# A virtual environment with the packages of a file, made once for what is in it:  python_venv FOLDER REQUIREMENTS
# Who comes while another makes it waits. uv fills it in a tenth of pip's time (Ray, Daft and the like in 10 s). It does not read pip's
# configuration, so where that names an index pip does it, and where uv fails.
python_venv() {
    local want lock
    want=$(sha256sum <"$2")
    # One that is there needs no lock, and no place for it.
    [ "$(cat "$1/.made-from" 2>/dev/null)" = "$want" ] && return
    mkdir -p "$(dirname "$1")"
    exec {lock}>"$1.lock"
    flock --nonblock "$lock" || { echo "waiting for another script that makes $1" >&2 && flock "$lock"; }
    if [ "$(cat "$1/.made-from" 2>/dev/null)" != "$want" ]; then
        rm -rf "$1"
        python3 -m venv "$1"
        python_filled "$1" "$2"
        echo "$want" >"$1/.made-from"
    fi
    exec {lock}>&-
}

python_filled() {
    local pip=("$1/bin/python" -m pip)
    if [ -z "$("${pip[@]}" config list | grep -E '(index-url|no-index)=' || true)" ]; then
        "${pip[@]}" install --quiet --disable-pip-version-check "uv==$UV" &&
            "$1/bin/python" -m uv pip install --quiet --compile-bytecode --python "$1/bin/python" -r "$2" && return
        echo "uv could not fill $1; pip does" >&2
    fi
    "${pip[@]}" install --quiet --disable-pip-version-check -r "$2"
}
