# Apart from the rest: Packer before 1.7 carries the builder itself and refuses this block, see build.sh.
packer {
  required_version = ">= 1.6.6"

  required_plugins {
    qemu = {
      # renovate: datasource=github-releases depName=hashicorp/packer-plugin-qemu
      version = "= 1.1.2"
      source  = "github.com/hashicorp/qemu"
    }
  }
}
