# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every room shares: errors, canonical JSON, names and schemas. Knows no other room."""
