#!/bin/sh
# Makes .venv from requirements.lock. Run again: nothing to do in an instant; after an interruption: redone.
#   scripts/setup.sh [VENV]
set -eu

cd "$(dirname "$0")/.."
venv=${1:-.venv}
stamp=$venv/.stamp       # what was installed, written last
unfinished=$venv/.begun  # there while an installation runs

fingerprint() { cat requirements.lock pyproject.toml scripts/setup.sh | cksum; }

# A moved checkout has a .venv whose scripts point elsewhere, so where it lies is part of the stamp.
wanted="$(fingerprint) $(pwd)"
if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    touch "$stamp"
    exit 0
fi

python=$(sh scripts/preflight.sh "$venv")

# pip can leave a package half copied when it is killed, and takes it for whole afterwards: begin anew.
if [ -e "$unfinished" ]; then
    echo "an earlier installation was interrupted: beginning anew (downloads that pip kept are used again)"
    rm -rf "$venv"
fi
if ! "$venv/bin/python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
    echo "creating $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi
quiet=''
[ -e "$stamp" ] && quiet=--quiet # an update of a whole environment: most of it is there already
rm -f "$stamp"
touch "$unfinished"

# pip unpacks into TMPDIR, and /tmp is often a small memory disk: use the disk that preflight measured.
TMPDIR=$(pwd)/$venv/tmp
case $venv in /*) TMPDIR=$venv/tmp ;; esac
export TMPDIR
mkdir -p "$TMPDIR"
# pip's cache would be a second copy of every download; a disk that is not generous goes without.
if [ "$(df -Pk "$venv" | awk 'NR == 2 { printf "%d", $4 / 1000000 }')" -lt 22 ]; then
    export PIP_NO_CACHE_DIR=1
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1

echo "installing $(grep -c == requirements.lock) packages (the first time a 5.4 GB download: a few minutes)"
# The one package that comes as source is built with the locked setuptools, not with whatever is newest today.
"$venv/bin/python" -m pip install --quiet --no-deps "$(grep '^setuptools==' requirements.lock)"
"$venv/bin/python" -m pip install $quiet --no-deps --no-build-isolation --use-pep517 --requirement requirements.lock
"$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
"$venv/bin/python" -m pip check

rm -rf "$TMPDIR" "$unfinished"
printf '%s' "$wanted" >"$stamp"
echo "installed in $venv"
