#!/bin/sh
# Says what is missing before anything is downloaded, and how to get it. Prints the chosen Python on stdout.
#   scripts/preflight.sh [VENV]      VENV: where the environment will lie (default .venv)
# PYTHON=/path/to/python chooses one; ATELIER_NEED_GB=n changes the disk space asked for.
set -u

venv=${1:-.venv}
need_gb=${ATELIER_NEED_GB:-13} # 5.4 GB of downloads, unpacked to 7 GB, and the demo
missing=0

say() { printf '%s\n' "$*" >&2; }
lack() {
    missing=1
    say "missing: $1"
    [ -n "${2:-}" ] && say "         $2"
    return 0
}

# How this distribution installs a package of the given apt and dnf names.
how() {
    if command -v apt-get >/dev/null 2>&1; then
        printf 'sudo apt-get update && sudo apt-get install -y %s' "$1"
    elif command -v dnf >/dev/null 2>&1; then
        printf 'sudo dnf install -y %s' "$2"
    else
        printf "install it with this system's package manager (Debian calls it %s, Fedora %s)" "$1" "$2"
    fi
}

# The newer Python that this distribution has: Debian 12 and Ubuntu 22.04 stop at 3.11.
offered() {
    if command -v apt-cache >/dev/null 2>&1 && ! apt-cache show python3.12 >/dev/null 2>&1 &&
        apt-cache show python3.11 >/dev/null 2>&1; then
        printf python3.11
    else
        printf python3.12
    fi
}

# A Python is taken when it RUNS: a version manager's shim may exist for a version that is not installed.
versions='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'
parts='import bz2, ctypes, lzma, sqlite3, ssl, zlib'
chosen='' without_venv='' without_parts=''
for candidate in ${PYTHON:-python3.12 python3.11 python3 python}; do
    "$candidate" -c "$versions" >/dev/null 2>&1 || continue
    if ! "$candidate" -c "$parts" >/dev/null 2>&1; then
        without_parts="$without_parts $candidate"
    elif ! "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        without_venv="$without_venv $candidate"
    else
        chosen=$("$candidate" -c 'import sys; print(sys.executable)') # behind a shim: the interpreter itself
        break
    fi
done

if [ -z "$chosen" ]; then
    if [ -n "$without_venv" ]; then
        # ${without_venv##* } is the last one found; its version names the package.
        version=$(${without_venv##* } -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        lack "the venv module of Python $version ($without_venv lacks venv or ensurepip)" \
            "$(how "python$version-venv" "python$version")"
    elif [ -n "$without_parts" ]; then
        lack "a complete Python:$without_parts cannot import one of bz2, ctypes, lzma, sqlite3, ssl, zlib" \
            "$(how "$(offered) $(offered)-venv" "$(offered)"), or rebuild it with those libraries' headers"
    elif [ -n "${PYTHON:-}" ]; then
        lack "PYTHON=$PYTHON does not run, or is neither Python 3.11 nor 3.12" "choose another, or leave PYTHON out"
    else
        lack "Python 3.11 or 3.12 (none of python3.12, python3.11, python3, python runs as one)" \
            "$(how "$(offered) $(offered)-venv" "$(offered)")"
    fi
fi

git --version >/dev/null 2>&1 || lack "git" "$(how git git)"

# Only a first installation needs the space.
if [ ! -e "$venv/.stamp" ]; then
    place=$(dirname "$venv")
    free_gb=$(df -Pk "$place" | awk 'NR == 2 { printf "%d", $4 / 1000000 * 1.024 }')
    if [ "${free_gb:-0}" -lt "$need_gb" ]; then
        lack "disk space: ${free_gb:-0} GB free at $place, about $need_gb GB needed (a 5.4 GB download, 7 GB unpacked)" \
            "free some space, or clone into a larger disk"
    fi
fi

if [ "$missing" -ne 0 ]; then
    say "error: install what is missing above, then run the same command again"
    exit 2
fi
printf '%s\n' "$chosen"
