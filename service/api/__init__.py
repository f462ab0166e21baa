"""The endpoints, a file for each group: each decodes, chooses a version, infers and answers."""
