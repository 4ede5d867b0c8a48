"""`osft-ops`: what the chart runs beside the stages."""
