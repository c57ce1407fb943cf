#!/bin/sh
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a machine ready for the probes. What belongs to others is open to everybody, so that file modes stop nobody
# and each refusal inside is the sandbox's own. Arguments: tree, port.
set -eu
tree=$1 port=$2
useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cl-shop
useradd --system --no-create-home --shell /usr/sbin/nologin cl-other
install -d /srv/containerless/shop/trees /run/containerless/shop/1
install -d -m 0777 /srv/containerless/other /var/lib/containerless/other /etc/containerless/other /opt/other \
    /home/other /mnt/other /run/other /usr/local/other /etc/other /dev/shm/other
for folder in /srv/containerless/other /var/lib/containerless/other /etc/containerless/other /opt/other /home/other \
    /mnt/other /run/other /dev/shm/other; do
    echo secret > "$folder/secret"
done
chmod 0666 "$tree/app/open_to_all"

ip address add 169.254.169.254/32 dev lo
cat > /run/systemd/system/foreign.service <<END
[Service]
User=cl-other
ExecStart=/usr/bin/python3 $tree/app/foreign.py $port /run/other/other.sock
END
systemctl start foreign.service dbus.socket

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
