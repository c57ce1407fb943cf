# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases on a host: identity, ledger, journal, plan and engine. Knows `_core` and `_artifact`."""
