"""The tables. A change here needs a migration; a test holds the two against each other."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# A row for every machine ever seen. `spec` is what the site file says of it, null for a machine
# nobody named or whose name was taken out again: its state stays, so that putting the name back
# does not install a machine anew.
nodes = Table(
    "nodes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, unique=True),
    Column("spec", JSON(none_as_null=True)),
    Column("state", Text, nullable=False),
    Column("boots", Integer, nullable=False, default=0),
    Column("document_key", Text, nullable=False, default=""),
    Column("report_keys", JSON, nullable=False, default=list),
    Column("facts", JSON, nullable=False, default=dict),
    # The digests of what its starts of the installer may still fetch.
    Column("boot_files", JSON, nullable=False, default=list, server_default=text("'[]'")),
    # What its agents may register with: digests, as `report_keys`.
    Column("phone_keys", JSON, nullable=False, default=list, server_default=text("'[]'")),
    Column("running", Text, nullable=False, default="", server_default=text("''")),
    Column("action_order", JSON(none_as_null=True)),
    Column("denied", Boolean, nullable=False, server_default=text("0")),
    # When it last gave a sign of itself, in seconds since 1970; null: never.
    Column("seen", BigInteger),
)

macs = Table(
    "macs",
    metadata,
    Column("mac", Text, primary_key=True),
    Column("node", ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False, index=True),
)

# Cards of machines that have been installed, or have failed: the site file alone cannot arm them,
# whatever names they get. A row outlives the card's node.
settled_macs = Table("settled_macs", metadata, Column("mac", Text, primary_key=True))

# Append-only. `once` names what must not be written twice: a report, a packet's transaction.
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node", ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("once", Text),
    UniqueConstraint("node", "once", name="once_per_node"),
)

images = Table(
    "images",
    metadata,
    Column("name", Text, primary_key=True),
    Column("source", JSON, nullable=False),
    Column("digest", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("files", JSON, nullable=False),
    Column("content", JSON(none_as_null=True)),
    Column("imported", Boolean, nullable=False, server_default=text("0")),
    Column("former", JSON(none_as_null=True)),  # the image that had the name before, as a row
)

profiles = Table(
    "profiles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("spec", JSON, nullable=False),
)

# What the site file says besides: `vendor-recipes` and `registries`; and `server-url`, where
# `serve` was last reachable, for `explain`.
settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)

# What this server has leased out as a DHCP server. `hardware` and `client` are hexadecimal; `ends`
# counts seconds since 1970.
leases = Table(
    "leases",
    metadata,
    Column("address", Text, primary_key=True),
    Column("hardware", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("hold", Text, nullable=False),
    Column("ends", BigInteger, nullable=False),
)

# Names that patterns gave, for ever: a machine that comes back has its own, and no other gets it.
given_names = Table(
    "given_names",
    metadata,
    Column("name", Text, primary_key=True),
    Column("mac", Text, nullable=False, index=True),
)

# Places in clusters, given once and kept: `place` counts from 0 in its role.
members = Table(
    "members",
    metadata,
    Column("node", Text, primary_key=True),
    Column("cluster", Text, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("place", Integer, nullable=False),
)

# A cluster's secrets: generated once, or told by its first server (`join-token-…`).
cluster_secrets = Table(
    "cluster_secrets",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# Credentials for power controllers, sealed with the key that lies beside the database.
logins = Table(
    "logins",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sealed", Text, nullable=False),
)

# Kairos agents that registered. `key` is the digest of the key that its agent was given, empty once
# it is taken back; times are in seconds since 1970.
agents = Table(
    "agents",
    metadata,
    Column("node", ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, nullable=False, index=True),
    Column("machine_id", Text, nullable=False),
    Column("registered", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("boot_state", Text, nullable=False, default=""),
    Column("told", JSON, nullable=False, default=dict),  # version, addresses, labels, OS release
)

# What agents were ordered to do. `phase`: Pending, Sent, Running, Completed, Failed.
commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node", ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("command", Text, nullable=False),
    Column("args", JSON, nullable=False),
    Column("phase", Text, nullable=False),
    Column("result", Text, nullable=False, default=""),
    Column("at", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

# What machines said: installer's logs, syslog. Bounded for each node.
logs = Table(
    "logs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node", ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("text", Text, nullable=False),
)
