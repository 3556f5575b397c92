"""What an attacker would try; every test is an attempt that fails."""
