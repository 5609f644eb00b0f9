"""What is kept: blobs, the database, nodes and their events."""
