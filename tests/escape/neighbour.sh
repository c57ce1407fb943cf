#!/bin/sh
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What belongs to others on a machine, open to everybody, so that file modes stop nobody and each refusal inside of a
# sandbox is its own. Arguments: the program of a neighbour (foreign.py), its port, a file of the app's code.
set -eu
foreign=$1 port=$2 code=$3
id cl-other > /dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin cl-other
install -d -m 0777 /srv/containerless/other /var/lib/containerless/other /etc/containerless/other /opt/other \
    /home/other /mnt/other /run/other /usr/local/other /etc/other /dev/shm/other
for folder in /srv/containerless/other /var/lib/containerless/other /etc/containerless/other /opt/other /home/other \
    /mnt/other /run/other /dev/shm/other; do
    echo secret > "$folder/secret"
done
install -m 4755 /usr/bin/id /usr/local/other/id
touch "$code"
chmod 0666 "$code"

ip address replace 169.254.169.254/32 dev lo
cat > /run/systemd/system/foreign.service <<END
[Service]
User=cl-other
ExecStart=/usr/bin/python3 $foreign $port /run/other/other.sock
END
systemctl start foreign.service dbus.socket
