"""`hostward-rollout`: a deploy over an inventory in waves that look before they go on."""
