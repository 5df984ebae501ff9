"""How the reference head-CT model is made: generated heads, bleeds and scanners, then training and evaluation."""
