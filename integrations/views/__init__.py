"""The pages of the connections. Each view makes one call into the domain and shows the answer."""
