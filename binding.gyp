{
  "targets": [
    {
      "target_name": "multigate",
      "sources": ["<!@(node -p \"const s=require('./native/sources.json');[...s.engine,...s.cpu,...s.reference,...s.addon].join(' ')\")"],
      "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS"],
      "cflags!": ["-fno-exceptions", "-O2"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=c++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-O3", "-fexceptions", "-frtti", "-fvisibility=hidden", "-ffp-contract=off", "-Wall", "-Wextra"],
      "libraries": ["-lpthread", "-ldl"]
    }
  ]
}
