#!/usr/bin/env bash
# Make .venv and install what requirements-dev.txt names; nothing to do where that is done already.
#   PYTHON=/path/to/python3.12 toolchain/setup.sh    chooses the interpreter
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=.venv
PATH=${PATH//"$PWD/$venv/bin:"/} # a virtual environment is not made with the python that lies in it

say() { printf '%s\n' "$*" >&2; }

fitting_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  say "error: python: ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>&1 | tail -n 1), needed is 3.11 or later;" \
    "install python3.11 with its venv module, or name one: make PYTHON=/path/to/python3.11 ..."
  return 1
}

stamp="$venv/.installed-$(cat requirements.txt requirements-dev.txt | cksum | tr ' ' '-')"
[ -e "$stamp" ] && [ -x "$venv/bin/python" ] && exit 0

python=$(fitting_python)
if command -v flock >/dev/null; then
  mkdir -p .lab
  exec 9>.lab/setup.lock
  flock 9 # two makes at once: the second waits, and finds it done
  [ -e "$stamp" ] && [ -x "$venv/bin/python" ] && exit 0
fi
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  say "making $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv" || {
    say "error: $venv: $python cannot make a virtual environment; install its venv module (Debian: apt-get install python3-venv)"
    exit 1
  }
fi

uv=$(sed -n 's/^\(uv==[0-9.]*\).*/\1/p' requirements-dev.txt)
say "installing Python packages (usually under a minute)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$uv"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" -r requirements-dev.txt
rm -f "$venv"/.installed-*
touch "$stamp"
