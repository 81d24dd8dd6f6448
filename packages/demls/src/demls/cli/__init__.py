"""The command line: ``demls``. It talks to a running node only through ``demls.client``."""
