#!/bin/sh
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a machine ready for the probes: the app's user, and its database. Argument: nothing.
set -eu
useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cl-shop
install -d /srv/containerless/shop/trees /run/containerless/shop/1

if [ ! -e /run/postgresql/.s.PGSQL.5432 ]; then
    systemctl start postgresql.service
fi
for _ in $(seq 100); do
    [ ! -e /run/postgresql/.s.PGSQL.5432 ] || break
    sleep 0.1
done
cd /
setpriv --reuid=postgres --regid=postgres --clear-groups createuser cl-shop
setpriv --reuid=postgres --regid=postgres --clear-groups createdb --owner=cl-shop shop
