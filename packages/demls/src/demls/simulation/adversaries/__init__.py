"""How do bad members behave? They run honest cores, change what those say, and speak unprompted.

``mind`` is what one of them knows and can sign; the strategies stand by theme: ``rounds`` (in the commit round),
``candidates`` (what a leader offers), ``accusations`` (emergencies) and ``forgeries`` (other names, old and false
messages, too many of them); ``sabotage`` draws who follows which, and lets them.
"""
