"""Where signed reports leave."""
