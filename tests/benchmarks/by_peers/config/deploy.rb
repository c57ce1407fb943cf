# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A release by git, of a clone on the host itself: no byte of it crosses the network. It builds and starts nothing.
set :application, "payload"
set :repo_url, ENV.fetch("PEER_REPOSITORY")
set :branch, ENV.fetch("PEER_BRANCH")
set :deploy_to, ENV.fetch("PEER_PATH")
set :keep_releases, ENV.fetch("PEER_KEEP").to_i
set :linked_dirs, %w[media log]
set :linked_files, %w[config.env]
