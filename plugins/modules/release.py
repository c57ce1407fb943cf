#!/usr/bin/python
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Make a release of a published artifact live on a host, go back, or take the app away
version_added: 0.1.0
author:
  - containerless.django contributors
description:
  - One transaction on the host in three phases - stage (preflight, unpack, stage, verify), activate (arm, hold,
    migrate, start, health, commit, watch), confirm (confirm, drain, finish).
  - A failure before the commit leaves what is live untouched; a failure after it goes back by itself, and so does a
    release that nobody confirms in time.
  - Use it through the role P(containerless.django.app_release#role), whose variables carry the defaults.
  - Needs root on the host. The target needs Python 3.9 or newer and systemd 252 or newer, and no network.
attributes:
  check_mode:
    description: Says what a run would do.
    support: full
  diff_mode:
    description: Shows version, distributions, migrations, units and the names of env and secrets; never their values.
    support: full
options:
  name:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
  state:
    description:
      - V(present) makes the release live. Nothing changes when it is live already with the same secrets.
      - V(rolled_back) goes back to the last good release before the active one, or to O(to). Needs no network.
      - V(pruned) removes the releases beyond those that O(keep) names.
      - V(absent) takes the app off the host, but keeps its data unless O(remove_data).
    type: str
    choices: [present, rolled_back, pruned, absent]
    default: present
  phase:
    description:
      - With O(state=present), which part of a release to do. V(all) does the three of them, for a single host. It and
        V(stage) need O(store), O(config), O(templates) and O(sandbox_templates).
      - V(stage) puts it on the disk and judges it, V(activate) brings it before traffic, V(confirm) keeps it. What was
        activated and is not confirmed within O(confirm_timeout) goes back by itself; V(renew) lets it wait anew.
      - V(hold) may stand before V(activate) where several hosts share a database - requests wait from then on.
    type: str
    choices: [all, stage, hold, activate, renew, confirm]
    default: all
  run:
    description: For a phase after V(stage), the RV(run) that V(stage) returned on this host.
    type: str
    default: ""
  verdict:
    description:
      - With O(phase=confirm), what P(containerless.django.release_verdict#filter) says of all hosts. Anything but a
        good one takes the release back.
    type: dict
  store:
    description: URL of the store, such as V(file:///srv/artifacts). Read on the control node.
    type: str
  channel:
    description: Name of the channel that O(index_id) was read from; used in messages only.
    type: str
    default: production
  index_id:
    description: Digest of the variant index to release. An empty one is an error, except in check mode.
    type: str
    default: ""
  observed:
    description: What M(containerless.django.release_info) returned for this host; read anew when it is not given.
    type: dict
  config:
    description: Configuration of the release. All of it goes into the release id.
    type: dict
    suboptions:
      env:
        description: Environment of every process. Values become text.
        type: dict
        default: {}
      secrets_as:
        description: Hand secrets over as files in C($CREDENTIALS_DIRECTORY) or as environment variables.
        type: str
        choices: [credentials, env]
        default: credentials
      secrets_encrypted:
        description: Keep secrets on the host's disk encrypted with the key of its systemd.
        type: bool
        default: false
      domain:
        description: Host header of the health check.
        type: str
        required: true
      health:
        description: What a healthy web process is.
        type: dict
        suboptions:
          path:
            description: Path of the GET request.
            type: str
            default: /
          scheme:
            description: Scheme that the check claims to come by (X-Forwarded-Proto).
            type: str
            choices: [http, https]
            default: https
          status:
            description: Good status codes. A redirect is not taken for health unless it is listed.
            type: list
            elements: int
            default: [200]
          body:
            description: Text that the body must hold; empty for any body.
            type: str
            default: ""
          consecutive:
            description: Good answers in a row that open the gate.
            type: int
            default: 2
          timeout:
            description: Seconds for the whole gate.
            type: int
            default: 60
          stay_up:
            description: Seconds that every other process must stay up without a restart.
            type: int
            default: 2
          headers:
            description: Text by header name that a good answer must hold in that header, whatever the case of the name.
            type: dict
            default: {}
          commands:
            description: Command by process that must end with 0, run in the sandbox once the process is up.
            type: dict
            default: {}
      scale:
        description: How often each process runs, 0 to 64 by its name, and C(web) at least once. Others run once.
        type: dict
        default: {}
      users:
        description: User by process, of those that run as another one than C(web).
        type: dict
        default: {}
      listen:
        description: Address and port to take connections at, such as V(0.0.0.0:8000); none when empty.
        type: str
        default: ""
      listen_connections:
        description: Connections at O(config.listen) at the same time.
        type: int
        default: 1024
      proxy_group:
        description: Group that may connect to the sockets and read O(config.public_dirs).
        type: str
        default: www-data
      public_dirs:
        description: Folders of the app's data that the proxy may read, such as V(media).
        type: list
        elements: str
        default: []
      start_timeout:
        description: Seconds that a process may take to start.
        type: int
        default: 90
      stop_timeout:
        description: Seconds that a process may take to end before it is killed.
        type: int
        default: 30
      stop_timeouts:
        description: The same in seconds for single processes, by name.
        type: dict
        default: {}
      task_timeout:
        description: Seconds that a migration, or what a timer starts, may take.
        type: int
        default: 600
      max_exposure:
        description: Highest accepted figure of C(systemd-analyze security), 0 to 10.
        type: str
        default: "0.5"
      sandbox:
        description: Profile, limits and bind mounts of the sandbox, from role app_sandbox.
        type: dict
        default: {}
  secrets:
    description: Values by name. Kept root-only on the host, never part of the release id, a unit or the output.
    type: dict
    default: {}
  templates:
    description: Folder of the unit templates.
    type: path
  sandbox_templates:
    description: Folder of the sandbox drop-in template.
    type: path
  require_test_record:
    description: >-
      Refuse an artifact without a test record that fits the class of the configuration and the host's system and has
      not expired. V(false) needs O(untested_reason).
    type: bool
    default: true
  untested_reason:
    description: Release without a test record for this reason, which goes into the ledger. It is enough by itself.
    type: str
    default: ""
  signers:
    description:
      - Whose signatures count, each a line of ALLOWED SIGNERS in C(ssh-keygen(1\)) - names, options, key.
      - When given, manifest, provenance and, where it is required, test record of the artifact need a good signature by
        one of these keys; what has none is refused before anything is written on a host, in check mode too.
      - When empty, the artifact is pinned by its digest alone, and RV(signed_by) says that nothing was checked.
    type: list
    elements: str
    default: []
  allow_older:
    description:
      - Whether the artifact may be of an older commit than that of the host's active release.
      - By default allowed without O(signers), and refused with them - an old artifact with a good signature may be a
        replay. Going back with O(state=rolled_back) is always allowed.
    type: bool
  reason:
    description: Why, for the ledger.
    type: str
    default: ""
  timers:
    description:
      - Whether the artifact's timers run on the first host of the play, on all of them, or on none.
      - In a run with C(--limit), V(first) leaves each host as it is.
    type: str
    choices: [first, all, none]
    default: first
  drain:
    description: Seconds between the confirmation and the end of the old web process; nobody waits for it.
    type: int
    default: 30
  watch:
    description:
      - Seconds after the flip in which a process that ends, or too many bad answers to our own requests, take the
        release back.
    type: int
    default: 10
  watch_errors:
    description: Share of bad answers during the watch, in per cent, above which the release is taken back.
    type: int
    default: 10
  confirm_timeout:
    description: Seconds after the watch in which the confirmation must come.
    type: int
    default: 60
  lock_wait:
    description: Seconds to wait for another run on the same host, or for its confirmation.
    type: int
    default: 120
  migrations:
    description:
      - What is done with pending migrations that are not expanding. V(expand) refuses them, V(accept) runs them before
        traffic, V(maintenance) lets requests wait, stops the old release, migrates and starts the new one.
    type: str
    choices: [expand, accept, maintenance]
    default: expand
  overlap:
    description:
      - V(hold) stops the old release before the new one starts, while requests wait; V(overlap) has both for a moment.
    type: str
    choices: [overlap, hold]
    default: overlap
  keep:
    description: Distinct artifacts that stay on the host, beside the active, the previous good and pinned releases.
    type: int
    default: 5
  to:
    description: With O(state=rolled_back), the release id to go back to.
    type: str
    default: ""
  accept_newer_schema:
    description: With O(state=rolled_back), go back although the database is ahead of the old release.
    type: bool
    default: false
  reverse_migrations:
    description: With O(state=rolled_back), take back the migrations that the old release does not know.
    type: bool
    default: false
  secrets_from:
    description:
      - With O(state=rolled_back), take the newest values of the secrets, or those that the release was good with.
    type: str
    choices: [newest, snapshot]
    default: newest
  remove_data:
    description: With O(state=absent), remove data, ledger and user as well. They can't be brought back.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Go back to the last good release
  containerless.django.release:
    name: shop
    state: rolled_back
    drain: 5
  become: true

- name: Take the app off the host and keep its data
  containerless.django.release:
    name: shop
    state: absent
  become: true
"""

RETURN = r"""
signed_by:
  description:
    - Who signed the artifact, a name out of O(signers).
    - V(unsigned) without a signature; without O(signers) the fingerprint of each key and C((not checked\)).
  returned: O(state=present)
  type: str
  sample: ann@example.org
release:
  description: Id of the release that is live after the run.
  returned: success, unless O(state=absent)
  type: str
  sample: 2.0.0.g1a2b3c4d-0123456789ab
previous:
  description: Id of the release that was live before; null for the first one.
  returned: changed
  type: str
  sample: 1.0.0.g5e6f7a8b-ba9876543210
activation:
  description: Number of the activation on this host.
  returned: success, unless O(state=absent)
  type: int
  sample: 2
steps:
  description:
    - Steps of the transaction with their seconds; with O(phase=confirm) in the role those of all phases, as with
      RV(migrated), RV(exposure) and RV(notes).
  returned: success
  type: list
  elements: list
  sample: [[unpack, 1.2], [health, 0.9]]
exposure:
  description: Figure of C(systemd-analyze security) of each process.
  returned: changed
  type: dict
  sample: {web: 0.2, worker: 0.2}
migrated:
  description: Migrations that were applied.
  returned: changed
  type: list
  elements: str
  sample: [shop.0002_note]
reversed:
  description: Migrations that were taken back.
  returned: O(state=rolled_back) and O(reverse_migrations)
  type: list
  elements: str
staged:
  description: Whether there is something to bring before traffic; false or missing when nothing was to be done.
  returned: O(phase=stage)
  type: bool
run:
  description: Id of the run, for its later phases.
  returned: changed
  type: str
  sample: 0a1b2c3d4e5f
notes:
  description: What would fail at run time, such as peers of the settings that the sandbox does not let through.
  returned: changed
  type: list
  elements: str
pruned:
  description: Releases and trees that were removed; in check mode the releases that would be.
  returned: O(state=pruned)
  type: list
  elements: str
good:
  description: Whether this host took the release. It does not fail then; O(phase=confirm) does, on all hosts.
  returned: O(phase=activate)
  type: bool
recovered:
  description: What was done about an earlier run that was interrupted - undo, revert, forward, finish or nothing.
  returned: changed
  type: str
plan:
  description: Action (none, release or activate), its reason, its steps, and whether a tree is unpacked.
  returned: O(state=present)
  type: dict
ledger_head:
  description: SHA-256 of the ledger's last line; kept elsewhere it shows a ledger that was cut.
  returned: changed
  type: str
evidence:
  description: Step, answer, body and journal lines of a release that was undone; known secrets are masked.
  returned: failure after something was started
  type: dict
"""
