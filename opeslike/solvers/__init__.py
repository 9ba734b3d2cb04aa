"""How problems are solved, and the certificate that proves the answer."""
