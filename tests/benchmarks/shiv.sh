#!/bin/sh
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A zipapp by shiv, as its documentation builds one for Django: pip install --target, collectstatic, shiv.
# shiv.sh INPUTS WORK OUT PYTHON TOOLS COMPILE: COMPILE=yes runs the compile step too. shiv packs no bytecode and
# throws it away, so there is a row without that step beside it.
set -eu
inputs=$1 work=$2 out=$3 python=$4 tools=$5 compile=$6
export PYTHONDONTWRITEBYTECODE=1 HOME="$work"
mkdir -p "$work/site"
cd "$work/site"
tar -xf "$inputs/app.tar"
"$tools/bin/python" -m pip --disable-pip-version-check install --quiet --no-index --no-deps --no-compile \
    --find-links "$inputs/wheels" --require-hashes --root-user-action ignore \
    -r "$inputs/requirements.txt" --target "$work/site"
if [ "$compile" = yes ]; then
    "$python" -m compileall -q --invalidation-mode unchecked-hash -s "$work/site" . >"$work/compile.log" || true
fi
PYTHONPATH="$work/site" STATIC_ROOT="$work/site/static" "$python" manage.py collectstatic --noinput
"$tools/bin/shiv" --site-packages "$work/site" --compressed --python "$python" --console-script gunicorn \
    --output-file "$out"
