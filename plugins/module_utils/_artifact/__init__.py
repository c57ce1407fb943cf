# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artifact: manifest, variant index, tar writer and reader, builder. Knows only `_core`."""
