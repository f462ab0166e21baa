"""The endpoints, a file for each group: decode -> infer -> answer, three visible calls."""
