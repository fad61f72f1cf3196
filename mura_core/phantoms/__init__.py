"""The embedded data set: phantom radiographs, drawn by the computer.

Whoever has no radiographs tries the tool on these. Grey is what a ray loses on its way through
simple solids: a limb is a tube of soft tissue, a bone a tube with a marrow cavity, and the rays
that graze its wall make the bright rim of cortex. Half of the images carry a finding.

Only the finding tells an abnormal image from a normal one:

- Patients come in pairs. Both of a pair have the same bones and the same studies with opposite
  labels; image by image they share size, mode, pose, exposure, borders and letters.
- An abnormal image gets the histogram of grey values that it would have without its finding.
- Images of both classes show lead discs and rings, so bright metal alone is no sign of disease.

Invariant: an image depends on nothing but its place in the plan, on no file, font or clock.
"""

from mura_core.phantoms.folder import phantom_folder, write_phantoms

__all__ = ["phantom_folder", "write_phantoms"]
