# The GPU worker image: the base image with NVIDIA's driver, so that a new worker need not build one; or, where the GPU
# operator brings the driver, with what its container expects of the host.
source "qemu" "gpu_worker" {
  disk_image       = true
  iso_url          = var.source
  iso_checksum     = var.checksum
  disk_size        = "${var.size_mib}M"
  format           = "qcow2"
  disk_compression = true
  disk_interface   = "virtio"
  disk_cache       = "unsafe"
  disk_discard     = "unmap" # or what the build deleted would stay in the file
  net_device       = "virtio-net"
  machine_type     = "q35"
  accelerator      = var.accelerator
  memory           = 2048
  cpus             = 2
  headless         = true
  vm_name          = "image.qcow2"
  output_directory = var.output

  # cloud-init in the build VM finds its seed by the machine's serial number.
  http_directory = var.seed
  qemuargs = [
    ["-cpu", local.cpu],
    ["-smbios", "type=1,serial=ds=nocloud-net;s=http://{{ .HTTPIP }}:{{ .HTTPPort }}/"],
  ]

  boot_wait            = "1s"
  ssh_username         = "root"
  ssh_private_key_file = var.ssh_key
  ssh_timeout          = "20m"
  shutdown_command     = "systemctl poweroff"
}

build {
  sources = ["source.qemu.gpu_worker"]

  provisioner "shell" {
    execute_command  = "env {{ .Vars }} bash {{ .Path }}"
    environment_vars = ["APT_PROXY=${var.apt_proxy}", "DRIVER=${var.driver}", "DRIVER_BRANCH=${var.driver_branch}"]
    scripts = [
      "${path.root}/scripts/gpu-worker.sh",
      "${path.root}/scripts/cleanup.sh",
    ]
  }
}
