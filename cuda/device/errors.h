// What an error of the CUDA runtime means for the device. Numbers instead of names: an older toolkit lacks some of them.
#pragma once

namespace mg_cuda {

enum class ErrorKind {
  kMemory,       // not enough of it
  kUnavailable,  // the device cannot be used now: busy, not ready, not there. It may be later
  kCapture,      // of a capture that has failed; the device is well
  kLost,         // the context has ended, and the process with it as far as this device is concerned
  kOther         // lost if the device answers the next call with the same error
};

constexpr ErrorKind kind_of(int error) {
  if (error >= 900 && error <= 908) return ErrorKind::kCapture;
  switch (error) {
    case 2: return ErrorKind::kMemory;
    case 3:    // the driver or the runtime does not start
    case 34:   // a stub library
    case 35:   // the driver is too old
    case 46:   // devices are busy, or in exclusive or prohibited mode
    case 100:  // no device
    case 101:  // no such device
    case 802:  // the system is not ready
    case 803:  // drivers do not match
    case 804:  // compatibility mode is not supported
    case 805:  // MPS: no connection,
    case 806:  // a failed call,
    case 807:  // the server is not ready,
    case 808:  // too many clients,
    case 809:  // too many connections
      return ErrorKind::kUnavailable;
    case 214:  // uncorrectable error of memory
    case 220:  // of NVLink
    case 226:  // an exception that was contained
    case 700:  // illegal address
    case 702:  // launch timeout
    case 709:  // the context is destroyed
    case 710:  // assert
    case 714:  // hardware stack error
    case 715:  // illegal instruction
    case 716:  // misaligned address
    case 717:  // invalid address space
    case 718:  // invalid program counter
    case 719:  // launch failure
    case 721:  // tensor memory leak
    case 810:  // the MPS server has ended this client
    case 911:  // an external device failed
    case 999:  // unknown
      return ErrorKind::kLost;
    default: return ErrorKind::kOther;
  }
}

}  // namespace mg_cuda
