#!/bin/sh
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PostgreSQL speaks TLS and nothing else over TCP: an authority that the host trusts signs a certificate for db.internal.
# Another authority signs nothing that is used. Arguments: the role, and its password.
set -eu
role=$1 password=$2
new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
keys=/etc/postgresql/tests
mkdir -p $keys
cd $keys
$new -x509 -days 2 -subj /CN=tests -keyout ca.key -out /usr/local/share/ca-certificates/tests.crt 2> /dev/null
$new -x509 -days 2 -subj /CN=other -keyout other.key -out /etc/ssl/other.crt 2> /dev/null
$new -subj /CN=db.internal -keyout server.key -out server.csr 2> /dev/null
echo subjectAltName=DNS:db.internal > names
openssl x509 -req -in server.csr -CA /usr/local/share/ca-certificates/tests.crt -CAkey ca.key -CAcreateserial -days 2 \
    -extfile names -out server.crt 2> /dev/null
chown postgres: server.key server.crt
update-ca-certificates > /dev/null 2>&1

main=$(dirname "$(ls /etc/postgresql/*/main/postgresql.conf)")
cat > "$main/conf.d/tls.conf" <<END
ssl = on
ssl_cert_file = '$keys/server.crt'
ssl_key_file = '$keys/server.key'
END
sed -i -E 's/^host( +all +all +127)/hostssl\1/' "$main/pg_hba.conf"
systemctl restart postgresql
cd /
runuser -u postgres -- psql -qc "alter role \"$role\" password '$password'"
