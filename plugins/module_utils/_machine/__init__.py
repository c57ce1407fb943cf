# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throwaway machines: what they are (pure) and how they come and go."""
