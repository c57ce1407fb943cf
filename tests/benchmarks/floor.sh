#!/bin/sh
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The least that a build can be: the same code, lock, wheels, uv and Python as ours, and no check of anything.
# floor.sh INPUTS WORK OUT PYTHON: INPUTS is an unpacked bundle, WORK is new, the tarball becomes OUT.
set -eu
inputs=$1 work=$2 out=$3 python=$4
export UV_CACHE_DIR="$work/uv" UV_OFFLINE=1 UV_NO_CONFIG=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$work/tree/app"
cd "$work/tree"
tar -xf "$inputs/app.tar" -C app
"$inputs/uv" venv --quiet --relocatable --no-project --python "$python" venv
"$inputs/uv" pip install --quiet --no-index --find-links "$inputs/wheels" --require-hashes \
    --python venv/bin/python -r "$inputs/requirements.txt"
# Some distributions bring templates that are no Python: as in our builder, that is no error.
"$python" -m compileall -q --invalidation-mode unchecked-hash -s "$work/tree" venv app >"$work/compile.log" || true
(cd app && STATIC_ROOT="$work/tree/static" ../venv/bin/python manage.py collectstatic --noinput)
tar -cf - . | gzip -6 >"$out"
