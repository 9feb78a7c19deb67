# What build.sh hands over, for every image.

variable "source" {
  type        = string
  description = "URL or path of the qcow2 image to start from."
}

variable "checksum" {
  type        = string
  default     = "none"
  description = "sha256:..., sha512:..., or none for an image of our own."
}

variable "size_mib" {
  type        = number
  default     = 10240
  description = "Virtual size of the image in MiB; a VM's own disk grows it at first boot."
}

variable "accelerator" {
  type        = string
  default     = "kvm"
  description = "kvm, or tcg where the build machine has no virtualisation (slow)."
}

variable "output" {
  type        = string
  description = "Folder for the image, which Packer makes; the file in it is image.qcow2."
}

variable "seed" {
  type        = string
  description = "Folder with the NoCloud files user-data and meta-data of the build VM."
}

variable "ssh_key" {
  type        = string
  description = "Private key that the build VM's user-data lets in; made for one build."
}

variable "apt_proxy" {
  type        = string
  default     = ""
  description = "Proxy for the build VM's packages; nothing of it stays in the image."
}

variable "driver" {
  type        = string
  default     = "nvidia"
  description = "Driver in the GPU worker image: nvidia, or none where the GPU operator brings it."
}

variable "driver_branch" {
  type        = string
  default     = "580"
  description = "NVIDIA driver branch of the GPU worker image."
}

locals {
  # -cpu host needs KVM; under emulation every feature that QEMU knows is offered.
  cpu = var.accelerator == "kvm" ? "host" : "max"
}
