# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of a release on a throwaway machine: what is asked, in its own sandbox, and what came out."""
