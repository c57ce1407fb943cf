# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sandbox of a unit is asked to do, and what the target really does. Knows `_core` and `_release`."""
