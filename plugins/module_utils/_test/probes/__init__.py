# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that run by themselves: in the sandbox of a release by the Python of its app, or beside it by the host's."""
