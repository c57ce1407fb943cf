# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
server ENV.fetch("PEER_HOST"), user: ENV.fetch("PEER_USER"), port: ENV.fetch("PEER_PORT").to_i, roles: %w[app]
set :ssh_options, keys: [ENV.fetch("PEER_KEY")], keys_only: true, verify_host_key: :always, config: false,
                  user_known_hosts_file: ENV.fetch("PEER_KNOWN_HOSTS"), global_known_hosts_file: "/dev/null"
