"""How sure a number is: resampling, the jackknife, significance; on arrays alone."""
