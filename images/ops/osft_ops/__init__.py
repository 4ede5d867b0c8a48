"""`osft-ops`: what the chart and `osft` run beside the stages."""
