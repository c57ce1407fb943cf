#!/bin/sh
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A PEX that makes a venv at its first start. collectstatic needs an environment before; pex then takes the
# distributions from that one (--venv-repository), which is faster than resolving the wheels once more.
# pex.sh INPUTS WORK OUT PYTHON TOOLS COMPILE: COMPILE=yes runs the compile step too. pex packs no bytecode of
# distributions (nor does its --compile), so there is a row without that step beside it.
set -eu
inputs=$1 work=$2 out=$3 python=$4 tools=$5 compile=$6
export UV_CACHE_DIR="$work/uv" UV_OFFLINE=1 UV_NO_CONFIG=1 PYTHONDONTWRITEBYTECODE=1 HOME="$work"
mkdir -p "$work/app"
tar -xf "$inputs/app.tar" -C "$work/app"
"$inputs/uv" venv --quiet --no-project --python "$python" "$work/venv"
"$inputs/uv" pip install --quiet --no-index --find-links "$inputs/wheels" --require-hashes \
    --python "$work/venv/bin/python" -r "$inputs/requirements.txt"
if [ "$compile" = yes ]; then
    cd "$work"
    "$python" -m compileall -q --invalidation-mode unchecked-hash -s "$work" venv app >"$work/compile.log" || true
fi
(cd "$work/app" && STATIC_ROOT="$work/app/static" "$work/venv/bin/python" manage.py collectstatic --noinput)
"$tools/bin/pex" --pex-root "$work/root" --venv-repository "$work/venv" --requirement "$inputs/requirements.txt" \
    --venv --sources-directory "$work/app" --output-file "$out"
