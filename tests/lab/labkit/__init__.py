# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's tests, faults and benches stand on: the lab itself, and judges from outside.

lab           hosts and guests of a running lab, and what can be done to them
watch         the observer's log of the guests' network: heartbeats and announcements
smbd_log      the file server's own log: who held a write handle when, who wrote
owner_record  the owner record, decoded from its documented format
report        the vmferry.migrate/1 object

Nothing here imports, links or asks vmferry: a judge that shares code with the judged proves little.
"""
