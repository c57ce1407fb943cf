# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that start from a commit and its lock."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description: Name of the app, a lower-case letter followed by at most 23 of a-z, 0-9 and _.
    type: str
    required: true
  src:
    description:
      - Folder on the control node with the project; a git checkout, or a folder in one.
      - What is built is the commit O(ref), never the files that lie in the folder.
    type: path
    required: true
  store:
    description: URL of the build store, such as V(file:///home/me/.cache/containerless/shop/store).
    type: str
    required: true
  ref:
    description: Commit, tag or branch to build.
    type: str
    default: HEAD
  version:
    description:
      - Version of the artifact, at most 48 letters, digits, dots and underscores.
      - Without it, C(project.version) of C(pyproject.toml) or the commit's date, then C(.g) and 8 digits of the commit.
    type: str
  lock:
    description:
      - Lock file in the commit, below O(src). A C(uv.lock), a C(pylock.toml), or a requirements file whose lines have
        a version and SHA-256 hashes.
      - When empty, the one that C([tool.containerless]) names, else the first that is there of V(uv.lock),
        V(pylock.toml) and V(requirements.txt).
    type: str
    default: ""
  settings_module:
    description: Django settings to build with. Without it, what C(manage.py) sets by default.
    type: str
  secret_names:
    description:
      - Names of secrets that the settings ask for. Each gets a throw-away value, as variable and as credential.
      - C(SECRET_KEY) is always among them. Real values never reach a build.
    type: list
    elements: str
    default: []
  env:
    description: Further environment of C(collectstatic). It decides bytes and is no place for secrets.
    type: dict
    default: {}
  allow_dirty:
    description:
      - Build what stands in O(src), ignored files left out, when it differs from the commit that is checked out.
      - The version then ends in C(.dirty) and the manifest says so. Without it, such a folder is refused.
    type: bool
    default: false
"""
