//! The types of a mixture's tensors are those that llama-quantize chooses, which were written down here (llama.cpp b11434,
//! all-MiniLM-L6-v2 F32); and a file that is quantised is the model that it was.

use std::collections::BTreeMap;

use connote_convert::{FileType, Model};
use gguf::{Gguf, TensorType};
use kernels::decode;
use testkit::models;

#[test]
fn mixtures_are_llama_cpps() {
    use TensorType as T;
    let counts: &[(FileType, &[(T, usize)])] = &[
        (FileType::Q8_0, &[(T::Q8_0, 37)]),
        (FileType::Q6_K, &[(T::Q8_0, 31), (T::Q6_K, 6)]),
        (FileType::Q5_K_M, &[(T::Q5_1, 28), (T::Q8_0, 3), (T::Q5_K, 4), (T::Q6_K, 2)]),
        (FileType::Q4_K_M, &[(T::Q5_0, 28), (T::Q8_0, 3), (T::Q4_K, 4), (T::Q6_K, 2)]),
        (FileType::Q4_K_S, &[(T::Q5_0, 26), (T::Q5_1, 4), (T::Q8_0, 1), (T::Q4_K, 6)]),
        (FileType::Q4_0, &[(T::Q4_0, 36), (T::Q8_0, 1)]),
        (FileType::Q4_1, &[(T::Q4_1, 36), (T::Q8_0, 1)]),
        (FileType::Q5_0, &[(T::Q5_0, 36), (T::Q8_0, 1)]),
        (FileType::Q5_1, &[(T::Q5_1, 36), (T::Q8_0, 1)]),
        (FileType::Q3_K_M, &[(T::Q4_0, 18), (T::Q5_0, 10), (T::Q5_1, 2), (T::Q8_0, 1), (T::Q4_K, 6)]),
        (FileType::Q3_K_L, &[(T::Q4_0, 18), (T::Q5_1, 12), (T::Q8_0, 1), (T::Q5_K, 6)]),
        (FileType::Q2_K, &[(T::Q4_0, 30), (T::Q8_0, 1), (T::Q3_K, 6)]),
        (FileType::F16, &[(T::F16, 37)]),
    ];
    let model = Model::from_gguf(&models::builtin()).expect("a model");
    for (file_type, wanted) in counts {
        let mut found: BTreeMap<TensorType, usize> = BTreeMap::new();
        for typed in model.types(*file_type).expect("types") {
            *found.entry(typed.ty).or_default() += 1;
        }
        assert_eq!(found.remove(&T::F32), Some(64), "{file_type}");
        assert_eq!(found, wanted.iter().copied().collect(), "{file_type}");
    }
}

#[test]
fn every_type_of_file_is_written_and_read() {
    let original = Gguf::open(models::builtin()).expect("a file");
    let model = Model::from_gguf(&models::builtin()).expect("a model");
    assert!(
        model.notes()[0].starts_with("37 tensors are quantised already (token_embd.weight"),
        "{:?}",
        model.notes()
    );
    let mut last = 0.0;
    for &file_type in FileType::ALL {
        let mut bytes = Vec::new();
        model.write(file_type, &mut bytes, |_| true).expect("written");
        let gguf = Gguf::from_bytes(bytes).expect("read");
        assert_eq!(gguf.metadata().u32("general.file_type").expect("a key"), Some(file_type.id()));
        let (mut error, mut square) = (0f64, 0f64);
        for tensor in original.tensors() {
            let values =
                |tensor: gguf::Tensor<'_>| decode::values(tensor.ty(), tensor.bytes()).expect("read");
            let written = gguf.tensor(tensor.name()).expect("as many tensors");
            for (x, y) in values(tensor).into_iter().zip(values(written)) {
                error += (f64::from(x) - f64::from(y)).powi(2);
                square += f64::from(x).powi(2);
            }
        }
        let relative = error / square;
        println!("{file_type}: {relative:.2e}");
        if file_type == FileType::Q8_0 {
            // The source's own type: copied.
            assert_eq!(relative, 0.0);
            continue;
        }
        // The list goes from the most exact to the least, nearly.
        assert!(relative <= 0.02 && relative >= last * 0.3, "{file_type}: {relative} after {last}");
        last = relative;
        for (key, value) in original.metadata().iter().filter(|(key, _)| *key != "general.file_type") {
            assert_eq!(gguf.metadata().get(key), Some(value), "{file_type}: {key}");
        }
    }
}

#[test]
fn types_go_by_their_names() {
    for ty in FileType::ALL {
        assert_eq!(ty.name().parse(), Ok(*ty));
        assert_eq!(ty.name().to_lowercase().parse(), Ok(*ty));
    }
    assert_eq!("q4_k".parse(), Ok(FileType::Q4_K_M));
    assert!("Q9".parse::<FileType>().expect_err("no type").contains("it writes F32, F16, BF16, Q8_0"));
}
