# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts that run inside the app's sandbox, with the app's own Python. They print JSON and nothing else."""
