"""The embedded data set: synthetic radiographs of phantoms, for trying the tool without data.

Grey levels are the absorption of rays in simple solids. A limb is a tube of soft tissue; a bone is
a tube with a marrow cavity, whose wall appears as the bright rim of the cortex. Half of the images
have a finding.

Abnormal images differ from normal ones only in the finding:

- Patients come in pairs with the same bones and the same studies, but opposite labels.
  Corresponding images have the same size, mode, pose, exposure, borders and letters.
- An abnormal image has the same grey level histogram as the image without its finding.
- Images of both classes show lead discs and rings, so bright metal doesn't indicate disease.

Invariant: an image depends only on its position in the plan, not on files, fonts or time.
"""

from mura_core.phantoms.folder import damage_of_phantoms, phantom_folder, write_phantoms

__all__ = ["damage_of_phantoms", "phantom_folder", "write_phantoms"]
